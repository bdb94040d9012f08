"""Votes to verdicts: whose vote counts, what the quorum says, and of what is judged apart."""
