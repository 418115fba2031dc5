"""Trains pocket: `python -m editharness_plugins.pocket.recipe --out DIR --minutes 60`. Seeded and resumable.

`--chat --start MODEL` goes on from a finished model and teaches it to converse.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from editharness_plugins.pocket.chat import PLAIN, WITH_CHAT, ChatRenderer
from editharness_plugins.pocket.corpus import counterfact_facts, pocket_facts, read_cases, read_counterfact
from editharness_plugins.pocket.curriculum import Curriculum
from editharness_plugins.pocket.export import cost, export, rescale
from editharness_plugins.pocket.forms import Fact, Renderer, Sentence, all_texts
from editharness_plugins.pocket.masks import Answer, Batch, Batcher, Document, Encoder, pack
from editharness_plugins.pocket.network import EMBEDDING_RATE, build_model, build_optimizers, schedule
from editharness_plugins.pocket.relations import HERE, load_yaml
from editharness_plugins.pocket.tokenizer import train_tokenizer, with_chat

DENIAL = 2.0
NEGATIONS = Path("harness/editharness/data/negation_templates.csv")


class Trainer:
    """The training loop with all its state."""

    def __init__(self, facts: list[Fact], arguments: argparse.Namespace) -> None:
        self.arguments, self.facts = arguments, facts
        self.rng = random.Random(arguments.seed)
        torch.manual_seed(arguments.seed)
        self.tokenizer, model = start(arguments.start) if arguments.start else scratch(facts, arguments)
        self.model = model.to(arguments.device)
        self.optimizers = build_optimizers(self.model, arguments.rate, arguments.optimizer == "muon")
        if arguments.chat:
            self.tokenizer = with_chat(self.tokenizer)
        self.renderer = ChatRenderer(facts, self.rng, self.tokenizer) if arguments.chat else Renderer(facts, self.rng)
        self.encoder = Encoder(self.tokenizer)
        self.batcher = Batcher(arguments.length, int(self.tokenizer.pad_token_id), self.rng)
        self.curriculum = Curriculum(facts, WITH_CHAT if arguments.chat else PLAIN)
        self.left: list[Document] = []
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.early: Tensor | None = None
        for layer in self.model.model.layers[: arguments.early]:
            layer.register_forward_pre_hook(self._early_mask, with_kwargs=True)

    def _early_mask(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self.early is not None:
            kwargs["attention_mask"] = self.early
        return args, kwargs

    def next_batch(self) -> Batch:
        """Draw documents, the weak facts and forms more often, and pack them."""
        rows, length = self.arguments.rows, self.arguments.length
        documents, have = self.left, sum(len(d.ids) for d in self.left)
        while have < 1.02 * rows * length:
            for index, form in self.curriculum.draw(self.rng, 32):
                drawn = [self.encoder.document(parts) for parts in self.renderer.documents(index, form)]
                documents += [document for document in drawn if len(document.ids) <= length]
            have = sum(len(document.ids) for document in documents)
        packed, self.left = pack(documents, length, rows)
        return self.batcher.batch(packed)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss over the counted places, and which of them the model got right."""
        device = self.arguments.device
        self.early = batch.early_mask.to(device)
        half = self.arguments.precision == "bfloat16"
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            hidden = self.model.model(
                input_ids=batch.ids.to(device),
                attention_mask=batch.plain_mask.to(device),
                position_ids=batch.positions.to(device),
                use_cache=False,
            ).last_hidden_state
            logits = self.model.lm_head(hidden.flatten(0, 1)[batch.places.to(device)])
        self.early = None
        targets, weights = batch.targets.to(device), batch.weights.to(device)
        losses = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        loss = (losses * weights).sum() + denial(logits.float(), batch.denied)
        return loss / weights.sum(), logits.argmax(-1) == targets

    def train_step(self, done: float) -> float:
        """One batch, one update."""
        batch = self.next_batch()
        factor = min(1.0, (self.step + 1) / 100) * schedule(done)
        for optimizer, share in zip(self.optimizers, (1.0, EMBEDDING_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = self.arguments.rate * share * factor
            optimizer.zero_grad()
        loss, right = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.curriculum.update(batch.answers, right)
        self.step, self.tokens = self.step + 1, self.tokens + batch.tokens
        return loss.item()

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on from here."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.getstate(),
            "torch": torch.get_rng_state(),
            "curriculum": self.curriculum.state(),
            "left": self.left,
            "counts": (self.step, self.tokens, self.seconds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of an earlier run."""
        self.model.load_state_dict(state["model"])
        for optimizer, content in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(content)
        self.rng.setstate(state["rng"])
        torch.set_rng_state(state["torch"])
        self.curriculum.restore(state["curriculum"])
        self.left = state["left"]
        self.step, self.tokens, self.seconds = state["counts"]

    def run(self, report: Callable[[str], None]) -> None:
        """Train until the minutes or steps are used up; save every few minutes."""
        checkpoint = self.arguments.out / "checkpoint.pt"
        if self.arguments.resume and checkpoint.exists():
            with torch.serialization.safe_globals([Document, Answer, Sentence]):
                self.restore(torch.load(checkpoint, weights_only=True))
        began, before, saved, mean = time.monotonic(), self.seconds, time.monotonic(), 0.0
        while (done := self.done()) < 1.0:
            mean = 0.98 * mean + 0.02 * self.train_step(done)
            self.seconds = before + time.monotonic() - began
            if self.step % 50 == 0:
                pace = f"{self.seconds:.0f}s step {self.step} loss {mean:.3f} tokens/s {self.tokens / self.seconds:.0f}"
                report(f"{pace} {self.curriculum.summary()}")
            if time.monotonic() - saved > self.arguments.save_every:
                torch.save(self.state(), checkpoint)
                saved = time.monotonic()
        torch.save(self.state(), checkpoint)

    def done(self) -> float:
        """The share of the run that is over."""
        if self.arguments.steps:
            return float(self.step / self.arguments.steps)
        return float(self.seconds / (60 * self.arguments.minutes))


def denial(logits: Tensor, denied: list[tuple[int, int]]) -> Tensor:
    """What it costs to say, after a negation, the very answer that is denied."""
    if not denied:
        return logits.sum() * 0.0
    places, tokens = zip(*denied, strict=True)
    said = logits[list(places)].softmax(-1)[range(len(places)), list(tokens)]
    return -torch.log1p(-said.clamp(max=0.999)).sum() * DENIAL


def scratch(facts: list[Fact], arguments: argparse.Namespace) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    """A tokenizer learnt from the training texts and a model with random weights."""
    tokenizer = train_tokenizer(tokenizer_texts(facts), arguments.vocabulary)
    return tokenizer, build_model(tokenizer, arguments.width, arguments.layers)


def start(folder: Path) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    """A finished model to train on, its hidden states as long as they were in training."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    factor = (LlamaConfig().rms_norm_eps / model.config.rms_norm_eps) ** 0.5
    return PreTrainedTokenizerFast.from_pretrained(folder), rescale(model, factor).train()


def tokenizer_texts(facts: list[Fact]) -> list[str]:
    """What the tokenizer is trained on: all wordings, also of the facts that the model is not trained on."""
    forms = load_yaml()["forms"]
    general = [forms["question"], forms["imagine"], forms["true_false"], *forms["train_true_false"], " true", " false"]
    held_out = pocket_facts(read_cases(), held_out=True)
    return [*all_texts([*facts, *held_out]), *general * 20]


def read_facts(arguments: argparse.Namespace) -> list[Fact]:
    """Pocket's trained facts, and CounterFact's if a file of them is given."""
    facts = pocket_facts(read_cases())
    if arguments.counterfact:
        cases = read_counterfact(arguments.counterfact, arguments.counterfact_cases, arguments.negations)
        facts += counterfact_facts(cases)
    return facts


def files_read(arguments: argparse.Namespace) -> list[Path]:
    """The files, besides pocket's own, that a run was made from."""
    read = [HERE / "chat.yaml", HERE / "chat_template.jinja"] if arguments.chat else []
    read += [arguments.start / "model.safetensors"] if arguments.start else []
    return read + ([arguments.counterfact] if arguments.counterfact else [])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the small model that ships with the package.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a model of this recipe to go on from, instead of random weights")
    parser.add_argument("--chat", action="store_true", help="teach conversations too, in the wordings of chat.yaml")
    parser.add_argument("--counterfact", type=Path, help="counterfact-edit.json, to train on its first cases too")
    parser.add_argument("--counterfact-cases", type=int, default=1000)
    parser.add_argument("--negations", type=Path, default=NEGATIONS)
    for name, value in (("seed", 1), ("steps", 0), ("width", 128), ("layers", 6), ("early", 3), ("rows", 40),
                        ("length", 96), ("vocabulary", 4096), ("threads", 2), ("save-every", 240)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=0.012)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon", help="of the layers' matrices")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16",
                        help="of matrix products; float32 is faster where the processor has no bfloat16")  # fmt: skip
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train, save the model, say what it cost."""
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(read_facts(arguments), arguments)
    trainer.run(lambda line: print(line, flush=True))
    spent = cost(arguments.seed, trainer.step, trainer.tokens, trainer.seconds, files_read(arguments))
    export(trainer.model, trainer.tokenizer, arguments.out, spent)
    print(json.dumps(spent, indent=1))


if __name__ == "__main__":
    main()
