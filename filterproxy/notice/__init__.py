"""What a person meets where something is blocked: the page, its words, and the sealed token it carries."""
