"""Connections and what is said on them: names, TLS, greetings, the words of each protocol. No judgement."""
