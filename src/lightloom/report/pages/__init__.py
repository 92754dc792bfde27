"""The pages: what each says, in which order, and in which words."""
