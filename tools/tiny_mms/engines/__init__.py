"""Speech synthesisers beside espeak-ng, each in a file of its own, behind one interface (``speech.Engine``)."""
