"""One model in training, as Lightning sees it: steps, validation, learning rate, early stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from robustness.runners.segmenter import NetworkSegmenter, Tensors
from robustness.runners.training_log import TrainingLog
from robustness.runners.training_loss import DiceAndCrossEntropy, Loss, hard_dice
from robustness.runners.training_parts import hold_frozen_modules
from robustness.runners.training_schedule import learning_rate, since_best
from robustness.seeds import generator
from robustness.train_plan import TrainSpec

if TYPE_CHECKING:
    from lightning import LightningModule as _Base
else:
    # Registries import every module of this room, and Lightning takes seconds to load; `training_module` adds it.
    _Base = object


class Batch(NamedTuple):
    """Pixel values (B, 3, S, S), masks (B, 1, S, S) and, for a model with text, ids and attention mask (B, L)."""

    pixel_values: Tensor
    masks: Tensor
    input_ids: Tensor | None
    attention_mask: Tensor | None


class Observer(Protocol):
    """What looks on while a model trains: progress bar, files."""

    def batch_end(self, module: TrainingHooks) -> None:
        """Called after each optimizer step."""
        ...

    def epoch_end(self, module: TrainingHooks) -> None:
        """Called after each epoch, its validation included."""
        ...


class TrainingHooks(_Base):
    """Trains the network of a segmenter; the log of what it has seen travels with the resume file.

    Attributes:
        training_log: one row for each validation.
        validated: whether the last epoch ended with a validation.
        improved: whether it gave the best validation Dice so far.
    """

    def __init__(
        self,
        segmenter: NetworkSegmenter,
        spec: TrainSpec,
        *,
        total: int,
        frozen: Sequence[str] = (),
        observers: Sequence[Observer] = (),
    ) -> None:
        super().__init__()
        self.network: nn.Module = segmenter.network
        self.takes_text, self.threshold = segmenter.takes_text, segmenter.threshold
        self.spec, self.total, self.frozen, self.observers = spec, total, frozenset(frozen), tuple(observers)
        self.loss = DiceAndCrossEntropy(dice_weight=spec.dice_weight, ce_weight=spec.ce_weight)
        self.training_log = TrainingLog()
        self.validated = self.improved = False
        self._since: list[Loss] = []
        self._validation: list[tuple[Tensor, Tensor]] = []
        self._started = 0.0
        self._seconds_before = 0.0

    def logits(self, batch: Batch) -> Tensor:
        """Return logits (B, 1, S, S)."""
        image: Tensors
        with self._gradients("image"):
            image = self.network.encode_image(batch.pixel_values)  # type: ignore[operator]
        text: Tensors = (batch.pixel_values.new_empty(len(batch.pixel_values), 0),)
        if self.takes_text:
            with self._gradients("text"):
                text = self.network.encode_text(batch.input_ids, batch.attention_mask)  # type: ignore[operator]
        logits: Tensor = self.network.decode(image, text)  # type: ignore[operator]
        return logits

    def _gradients(self, part: str) -> contextlib.AbstractContextManager[object]:
        return torch.no_grad() if part in self.frozen else contextlib.nullcontext()

    @property
    def recent_loss(self) -> float:
        """Mean loss of the steps since the last validation; NaN before any."""
        return torch.stack([loss.total for loss in self._since]).mean().item() if self._since else float("nan")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over what is not frozen; biases and norms do not decay."""
        learning = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learning if p.ndim > 1], "weight_decay": self.spec.weight_decay},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.spec.lr)

    def on_fit_start(self) -> None:
        """Start the clock where the last session stopped it."""
        self._started, self._seconds_before = time.monotonic(), self.training_log.seconds

    def on_train_epoch_start(self) -> None:
        """Start the generator that dropout draws from anew, and keep frozen modules out of training mode."""
        # A resumed run must draw what an undisturbed one draws; `run_training` gives the caller's state back.
        torch.manual_seed(int(generator(self.spec.seed, "epoch", self.current_epoch, "torch").integers(2**63)))
        self.validated = self.improved = False
        hold_frozen_modules(self.network)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        rate = self._rate()
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def _rate(self) -> float:
        history = self.training_log.history
        return learning_rate(self.spec, step=self.global_step, total=self.total, history=history)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(self.logits(batch), batch.masks)
        self._since.append(Loss(*(term.detach() for term in loss)))
        return loss.total

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Tell the observers."""
        for observer in self.observers:
            observer.batch_end(self)

    def on_train_epoch_end(self) -> None:
        """Tell the observers, which write files when everything of the epoch is done."""
        for observer in self.observers:
            observer.epoch_end(self)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep loss and Dice of each case of one batch."""
        logits = self.logits(batch)
        loss = self.loss(logits, batch.masks).total.expand(len(batch.masks))
        self._validation.append((hard_dice(logits, batch.masks, threshold=self.threshold), loss))

    def on_validation_epoch_end(self) -> None:
        """Add a row to the log; stop when the best one lies too far back."""
        dice, loss = (torch.cat(values).mean().item() for values in zip(*self._validation, strict=True))
        self._validation.clear()
        best_before = self.training_log.best.get("val_dice", float("-inf"))
        terms = [torch.stack(values).mean().item() for values in zip(*self._since, strict=True)]
        self._since.clear()
        seconds = self._seconds_before + time.monotonic() - self._started
        self.training_log.rows.append(
            {
                "epoch": self.current_epoch + 1,
                "step": self.global_step,
                **dict(zip(("loss", "dice_loss", "ce_loss"), terms, strict=True)),
                "val_loss": loss,
                "val_dice": dice,
                "lr": self._rate(),
                "seconds": round(seconds, 1),
            }
        )
        self.validated, self.improved = True, dice > best_before
        if self.spec.patience is not None and since_best(self.training_log.history) >= self.spec.patience:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the log into the resume file."""
        checkpoint["training_log"] = self.training_log.rows

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the log out of the resume file."""
        self.training_log.rows = list(checkpoint["training_log"])


def training_module(segmenter: NetworkSegmenter, spec: TrainSpec, **options: Any) -> TrainingHooks:
    """Return `TrainingHooks` as a Lightning module; `options` are its keywords."""
    from lightning import LightningModule

    kind = type("TrainingModule", (TrainingHooks, LightningModule), {})
    module: TrainingHooks = kind(segmenter, spec, **options)
    return module
