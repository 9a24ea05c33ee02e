"""Trainings on a Ray cluster.

Each training is a task of its own. The images lie in the object store, once on every node. Workers
have the cards: the driver may have none, and uses none to hand out trainings.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from taskdiscovery.config import WorkConfig
from taskdiscovery.errors import ConfigError, TaskDiscoveryError, WorkerError, first_line
from taskdiscovery.executors.workers import LostWorkerError, Workers
from taskdiscovery.networks.placing import Images, place
from taskdiscovery.runtime import devices, importing, interrupts
from taskdiscovery.runtime.hardware import keep_freed_memory
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, Training, forget_steps
from taskdiscovery.types import ImageArray, Matrix

#: seconds without a node that could take a training before the job gives up.
PATIENCE = 20.0


class Ray(Workers):
    """Trains in tasks of a cluster. Made by `connected`.

    Args:
        ray: the module.
        config: resolved; what a task takes up, and with how many threads.
        images: (N, H, W, channels) uint8, put in the object store.
        journal: of the job.
    """

    hint = (
        "does it fit in a worker's memory? lower --batch, or give more --cpus-per-job; "
        "then go on with taskdiscovery resume"
    )

    def __init__(
        self, ray: Any, config: WorkConfig, images: Matrix | ImageArray, journal: Journal
    ) -> None:
        super().__init__(journal)
        self._ray = ray
        self._cpus = config.cpus_per_job or config.threads or 1
        gpus = config.gpus_per_job
        self._gpus = float(devices.is_cuda(config.device)) if gpus is None else gpus
        # The user's own networks are found where they are found here.
        paths = [os.path.abspath(path) for path in sys.path]
        places = (paths, importing.working_directory())
        self._device = config.device
        self._common = (uuid.uuid4().hex, places, config.device, config.threads or 1)
        self._images = ray.put(images)
        # Ray's own retries cannot tell a training that ends every worker from one that was unlucky.
        self._task = ray.remote(max_retries=0, num_cpus=self._cpus, num_gpus=self._gpus)(_work)
        self._placeless: float | None = None

    @classmethod
    @contextmanager
    def connected(
        cls, config: WorkConfig, images: Matrix | ImageArray, journal: Journal
    ) -> Iterator[Ray]:
        """Connect to the cluster, or start one of this machine's processors.

        Raises:
            ConfigError: where Ray is not installed.
            WorkerError: where no cluster answers.
        """
        ray = _module()
        own = not ray.is_initialized()
        if own:
            _connect(ray, config.ray_address)
        workers = cls(ray, config, images, journal)
        try:
            yield workers
        finally:
            with suppress(Exception):  # the cluster may be gone
                for reference in workers._running:
                    ray.cancel(reference, force=True)
            if own:
                ray.shutdown()

    def _slots(self) -> int:
        """Count the trainings for which the living nodes have room."""
        slots = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                offered = node["Resources"]
                room = int(offered.get("CPU", 0) // self._cpus)
                if self._gpus:
                    room = min(room, int(offered.get("GPU", 0) // self._gpus))
                slots += room
        return slots

    def _start(self, request: Request) -> Any:
        return self._task.remote(self._images, *self._common, request.training.on(self._device))

    def _ready(self) -> list[Any]:
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=0.5)
        return list(ready)

    def _outcome(self, handle: Any) -> Any:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:  # a fault within the training
            return error.cause if isinstance(error.cause, Exception) else error
        except self._ray.exceptions.RayError as error:
            raise LostWorkerError(f"Ray: {type(error).__name__}") from error

    def _collect(self) -> list[Any]:
        """Collect.

        Raises:
            WorkerError: where no node can take a training, for longer than `PATIENCE`.
        """
        ready = super()._collect()
        if not ready:
            self._require_place()
        return ready

    def _require_place(self) -> None:
        if self._slots():
            self._placeless = None
            return
        self._placeless = self._placeless or time.monotonic()
        if time.monotonic() - self._placeless > PATIENCE:
            needed = f"{self._cpus} CPUs" + (f" and {self._gpus:g} GPUs" if self._gpus else "")
            raise WorkerError(
                f"no node of the cluster offers {needed}",
                where=f"{sum(n['Alive'] for n in self._ray.nodes())} nodes alive",
                hint="start nodes, or lower --cpus-per-job or --gpus-per-job; then go on with "
                "taskdiscovery resume",
            )


_resident: dict[str, Images] = {}


def _work(
    images: Any,
    data: str,
    places: tuple[list[str], str | None],
    device: str,
    threads: int,
    training: Training,
) -> Any:
    """Do one training; runs on a worker. An error that a user can mend is returned, not raised."""
    paths, folder = places
    sys.path.extend(path for path in paths if path not in sys.path)
    if folder is not None:
        importing.look_in(folder)
    torch.set_num_threads(threads)
    keep_freed_memory()
    if devices.is_cuda(device):  # one copy on the GPU for all trainings of this worker
        if data not in _resident:
            _resident.clear()
            forget_steps()
            _resident[data] = place(images, device)
        placed = _resident[data]
    else:
        placed = place(images, device)
    try:
        with usual_torch():
            return training.run(placed).numpy()
    except TaskDiscoveryError as error:
        return error


def _module() -> Any:
    # No usage statistics are sent, and Ray's own output is silenced.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # On a cluster that is started here; else a busy machine starves workers of niceness 15.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(
            f"Ray cannot be imported: {first_line(error)}",
            where="--executor ray",
            hint="pip install 'taskdiscovery[ray]'",
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    """Join the cluster at the address, or start one here. Ray must not take over our signals."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    options = {} if address else {"include_dashboard": False}
    try:
        with interrupts.kept_from_children(interruptible=True):
            ray.init(
                address=address or "local",
                logging_level="ERROR",
                log_to_driver=False,
                _skip_env_hook=True,
                **options,
            )
    except Exception as error:  # connections fail in many ways
        raise WorkerError(
            f"the Ray cluster does not answer: {first_line(error)}",
            where=f"--ray-address {address}" if address else "--executor ray",
            hint="is it running (ray status)? start it with `ray start --head`",
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
