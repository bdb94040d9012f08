"""What each command of the log does to the ledger: the halves of `ledger.apply`, pure and without policy."""
