"""Telling people: the one folder that knows apprise, from a claimed notification to a settled one."""
