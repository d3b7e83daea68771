# SPDX-License-Identifier: Apache-2.0
"""Free video memory, by NVIDIA's management library (nvidia-ml-py)."""

from __future__ import annotations

from va_common.errors import AssistantError, ErrorCode


class GpuMonitor:
    """Reads the first GPU that ``CUDA_VISIBLE_DEVICES`` leaves visible to NVML (index 0).

    Raises:
        AssistantError: UNAVAILABLE when there is no NVIDIA driver, library or device.
    """

    def __init__(self, index: int = 0) -> None:
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError as error:
            raise AssistantError(ErrorCode.UNAVAILABLE, f'no NVIDIA GPU: {error}') from error

    @property
    def name(self) -> str:
        """The device's name, for example ``NVIDIA H200``."""
        return str(self._nvml.nvmlDeviceGetName(self._handle))

    def free_mb(self) -> int:
        """Free video memory in MiB."""
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).free) // (1024 * 1024)

    def used_mb_by_pid(self) -> dict[int, int]:
        """Video memory in MiB of every compute process, by process id."""
        processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        return {p.pid: int(p.usedGpuMemory or 0) // (1024 * 1024) for p in processes}

    def close(self) -> None:
        """Release the library."""
        self._nvml.nvmlShutdown()
