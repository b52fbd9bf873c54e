"""What others get of a run: a folder that Hugging Face loads, its model card, ONNX files, and uploads to the Hub."""
