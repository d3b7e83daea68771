# SPDX-License-Identifier: Apache-2.0
"""The language model node: streamed answers from Ollama or from an embedded llama.cpp."""
