"""One module a part, each with a function that takes a `Part` and fills it."""
