# SPDX-License-Identifier: Apache-2.0
"""Starts, supervises and stops the voice assistant, and leads its dialogs."""
