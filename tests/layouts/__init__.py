"""Writers of small corpora, one for each layout that people have on disk."""
