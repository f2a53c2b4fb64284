"""mmengine's training loops, which go on after any iteration as if without a break."""

from __future__ import annotations

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from ...registry import LOOPS
from .images import SeededBatches, seeded


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, which can go on in the middle of an epoch.

    mmengine's own begins the epoch anew, with the images that were seen before.
    """

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, *args, **kwargs)
        self.dataloader: DataLoader = seeded(self.dataloader, runner.seed)

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        done = max(0, self._iter - self._epoch * len(self.dataloader))
        batches: Any = self.dataloader.batch_sampler
        if isinstance(batches, SeededBatches):
            batches.skip(self._iter)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if done < len(self.dataloader):
            for number, batch in enumerate(self.dataloader, done):
                self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, whose batches depend on the iteration only."""

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, *args, **kwargs)
        self.dataloader: DataLoader = seeded(self.dataloader, runner.seed)
        self.dataloader_iterator = EndlessBatches(self.dataloader)


class EndlessBatches:
    """The batches of epoch after epoch.

    Args:
        loader: Of the training.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._batches: Any = None

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> Any:
        if self._batches is not None:
            try:
                return next(self._batches)
            except StopIteration:
                pass
        self._batches = iter(self._loader)
        return next(self._batches)

    def skip_iter(self, count: int) -> None:
        """Leave out the first batches of the training."""
        batches: Any = self._loader.batch_sampler
        if isinstance(batches, SeededBatches):
            batches.skip(count)
            return
        for _ in range(count):
            next(self)
