"""HTTP by libcurl: one engine, what it is asked, what it takes in, how it fails."""
