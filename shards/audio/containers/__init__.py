"""Parse audio containers without decoding: the length the header declares against the data present."""
