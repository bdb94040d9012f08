"""Other programs as looks: running them within limits, reading what they write."""
