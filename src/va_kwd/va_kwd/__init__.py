# SPDX-License-Identifier: Apache-2.0
"""The wake word node: listens to ``stt/audio`` with the models of openWakeWord."""
