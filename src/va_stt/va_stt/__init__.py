# SPDX-License-Identifier: Apache-2.0
"""Hearing: microphone, echo cancellation, voice activity, end of turn, transcription."""
