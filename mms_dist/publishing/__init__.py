"""What others get of a run: a folder that Hugging Face loads, its model card, ONNX files, and uploads to the Hub."""

CHECK_UTTERANCES = 50
"""How many utterances of a language its ONNX files are compared with torch on."""
