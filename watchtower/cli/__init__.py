"""The command line: one thin module per verb, heavy imports only inside the verbs that need them."""
