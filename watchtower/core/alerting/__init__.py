"""Verdicts to messages: incidents, who is told and why not, by whom and when. The stages of `decide`."""
