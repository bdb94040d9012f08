"""What a notification says, part by part: names, evidence, links, and the words for each kind of it."""
