"""One model in training, as Lightning sees it: steps, validation, learning rate, early stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from lightning import LightningModule
from torch import Tensor, nn

from robustness.errors import InputError
from robustness.plans.finetune import TrainSpec
from robustness.runners.checkpoints.resume_state import IDENTITY
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.training.log import LOSSES, TrainingLog
from robustness.runners.training.loss import group_consistency, hard_dice, training_loss
from robustness.runners.training.parts import hold_frozen_modules
from robustness.runners.training.ranks import ONE, Ranks
from robustness.runners.training.schedule import learning_rate, since_best
from robustness.seeds import generator

# A light decoder alone is bound by memory: what a few images need stays in the processor's caches.
_PIECE = 4


class Batch(NamedTuple):
    """One batch of B cases.

    Attributes:
        pixel_values: (B, 3, S, S), or None where `image` stands in its place.
        masks: (B, 1, S, S).
        input_ids, attention_mask: (B, L) for a model with text, unless `text` stands in their place.
        image, text: what the frozen encoders gave (`SplitNetwork.image_features`, `text_features`); for a fusion head
            `image` has a row for each text, the maps of the pair.
        texts: wordings of each case, T; there are B * T rows of text then, those of one case together.
        weight: factor of the mean loss; see `robustness.runners.training.ranks.micro_batches`.
    """

    pixel_values: Tensor | None
    masks: Tensor
    input_ids: Tensor | None = None
    attention_mask: Tensor | None = None
    image: Tensors | None = None
    text: Tensors | None = None
    texts: int = 1
    weight: float = 1.0


class Observer(Protocol):
    """What looks on while a model trains: progress bar, files."""

    def batch_end(self, module: TrainingHooks) -> None:
        """Called after each optimizer step."""
        ...

    def epoch_end(self, module: TrainingHooks) -> None:
        """Called after each epoch, its validation included."""
        ...


class TrainingHooks(LightningModule):
    """Trains the network of a segmenter; the log of what it has seen travels with the resume file.

    Attributes:
        training_log: one row for each validation.
        identity: what the resume file says it is of.
        before_start: called once all processes have met, before the clock starts.
        validated: whether the last epoch ended with a validation.
        improved: whether it gave the best validation Dice so far.
    """

    def __init__(
        self,
        segmenter: NetworkSegmenter,
        spec: TrainSpec,
        *,
        total: int,
        observers: Sequence[Observer] = (),
        ranks: Ranks = ONE,
        validation_cases: int | None = None,
    ) -> None:
        super().__init__()
        self.network: nn.Module = segmenter.network
        self.takes_text, self.threshold = segmenter.takes_text, segmenter.threshold
        self.spec, self.total, self.observers = spec, total, tuple(observers)
        self.ranks, self._validation_cases = ranks, validation_cases
        self._knows_batches = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.network.modules())
        self.loss = training_loss(spec)
        self.training_log = TrainingLog()
        self.identity: dict[str, str] = {}
        self.before_start: Callable[[], None] = lambda: None
        self.validated = self.improved = False
        self._since: list[tuple[Tensor, ...]] = []
        self._validation: list[tuple[Tensor, Tensor]] = []
        self._started = 0.0
        self._seconds_before = 0.0

    def logits(self, batch: Batch) -> Tensor:
        """Return logits (B * T, 1, S, S)."""
        if batch.image is not None and not self._knows_batches and len(batch.masks) > _PIECE:
            return torch.cat([self._logits(piece) for piece in pieces(batch, _PIECE)])
        return self._logits(batch)

    def _logits(self, batch: Batch) -> Tensor:
        network: Any = self.network
        # Frozen weights ask for no gradient, so that nothing of a frozen encoder's forward is kept for a backward.
        image = (
            network.encode_image(batch.pixel_values) if batch.image is None else network.image_embedding(batch.image)
        )
        if len(image[0]) < len(batch.masks) * batch.texts:
            image = tuple(t.repeat_interleave(batch.texts, dim=0) for t in image)
        text: Tensors = (batch.masks.new_empty(len(batch.masks) * batch.texts, 0),)
        if batch.text is not None:
            text = network.text_embedding(batch.text)
        elif self.takes_text:
            text = network.encode_text(batch.input_ids, batch.attention_mask)
        logits: Tensor = network.decode(image, text)
        return logits

    @property
    def recent_loss(self) -> float:
        """Mean loss of the steps since the last validation; NaN before any."""
        return torch.stack([loss[0] for loss in self._since]).mean().item() if self._since else float("nan")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the plan's optimizer over what is not frozen."""
        learning = [p for p in self.network.parameters() if p.requires_grad]
        least = 1 if self.spec.decay == "matrices" else -1
        groups = [
            {"params": [p for p in learning if p.ndim > least], "weight_decay": self.spec.weight_decay},
            {"params": [p for p in learning if p.ndim <= least], "weight_decay": 0.0},
        ]
        kind = torch.optim.AdamW if self.spec.optimizer == "adamw" else torch.optim.Adam
        return kind([g for g in groups if g["params"]], lr=self.spec.lr)

    def on_fit_start(self) -> None:
        """Prepare, then start the clock where the last session stopped it."""
        self.before_start()
        self._started, self._seconds_before = time.monotonic(), self.training_log.seconds

    def on_train_epoch_start(self) -> None:
        """Restart the generator that dropout draws from, and keep frozen modules out of training mode."""
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
        watched = self.training_log.column("val_loss" if self.spec.plateau_on == "loss" else "val_dice")
        return learning_rate(self.spec, step=self.global_step, total=self.total, history=watched)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        logits = self.logits(batch)
        total, *terms = self.loss(logits, batch.masks.repeat_interleave(batch.texts, dim=0))
        if batch.texts > 1:
            terms.append(group_consistency(logits, batch.masks, loss=self.loss))
            total = total + self.spec.consistency * terms[-1]
        if not bool(torch.isfinite(total)):
            raise InputError(
                f"train: the loss became {total.item():g} at step {self.global_step + 1} (epoch "
                f"{self.current_epoch + 1}, batch {batch_idx + 1}, lr {self._rate():.3g}); {self._kept()}; "
                "lower lr, or set gradient_clip or precision = 'float32', in another folder"
            )
        if batch.weight:
            self._since.append(tuple(term.detach() for term in (total, *terms)))
        return total if batch.weight == 1.0 else total * batch.weight

    def _kept(self) -> str:
        """Return what a training that ends now leaves."""
        best = self.training_log.best
        if not best:
            return "no epoch was validated before, so that there is no checkpoint"
        return f"the checkpoint of epoch {best['epoch']} is kept (validation Dice {best['val_dice']:.3f})"

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
        dice, loss = (self._mean_of_cases(values) for values in zip(*self._validation, strict=True))
        self._validation.clear()
        if not math.isfinite(loss):
            raise InputError(
                f"train: the validation loss became {loss:g} after step {self.global_step} (epoch "
                f"{self.current_epoch + 1}, lr {self._rate():.3g}); {self._kept()}; lower lr, "
                "in another folder"
            )
        best_before = self.training_log.best.get("val_dice", float("-inf"))
        terms = [self._mean_of_steps(values) for values in zip(*self._since, strict=True)]
        self._since.clear()
        seconds = self._seconds_before + time.monotonic() - self._started
        self.training_log.rows.append(
            {
                "epoch": self.current_epoch + 1,
                "step": self.global_step,
                **dict(zip(LOSSES, terms, strict=False)),
                "val_loss": loss,
                "val_dice": dice,
                "lr": self._rate(),
                "seconds": round(seconds, 1),
            }
        )
        self.validated, self.improved = True, dice > best_before
        waited = since_best(self.training_log.history, least_gain=self.spec.min_delta)
        if self.spec.patience is not None and waited >= self.spec.patience:
            self.trainer.should_stop = self.current_epoch + 1 >= self.spec.min_epochs

    def _mean_of_cases(self, values: Sequence[Tensor]) -> float:
        if self.ranks.size == 1:
            return torch.cat(list(values)).mean().item()
        own = torch.cat(list(values)).tolist()
        total = self._validation_cases or len(own) * self.ranks.size
        return torch.tensor(self.ranks.together(own, total)).mean().item()

    def _mean_of_steps(self, values: Sequence[Tensor]) -> float:
        own = torch.stack(list(values)).cpu()
        return torch.cat([part.flatten() for part in self.ranks.gathered(own)]).mean().item()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the log into the resume file."""
        checkpoint["training_log"] = self.training_log.rows
        checkpoint[IDENTITY] = dict(self.identity)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the log out of the resume file."""
        self.training_log.rows = list(checkpoint["training_log"])


def pieces(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield a batch in parts of at most `size` cases."""

    def rows(name: str, value: Any, start: int) -> Any:
        rows_of = value[0] if isinstance(value, tuple) else value
        each = len(rows_of) // len(batch.masks)
        part = slice(start * each, (start + size) * each)
        return tuple(t[part] for t in value) if isinstance(value, tuple) else value[part]

    tensors = {n: v for n, v in batch._asdict().items() if n not in ("weight", "texts") and v is not None}
    for start in range(0, len(batch.masks), size):
        yield batch._replace(**{name: rows(name, value, start) for name, value in tensors.items()})
