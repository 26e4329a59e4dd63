"""Dual encoders in faster runtimes, OpenVINO and ONNX Runtime: exported, measured, and run without torch."""
