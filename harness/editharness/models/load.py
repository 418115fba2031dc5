"""Load a causal language model and its tokenizer, quietly, from a folder, a package or the hub's cache; or say why not.

Only safetensors are read. The model comes back in eval mode with gradients off, and with a digest of its weights.
"""

from __future__ import annotations

import hashlib
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import nn

from editharness.errors import EditHarnessError, ModelError
from editharness.models.find import Found, find_model
from editharness.models.placing import Place, check_modules, check_placed, held, parse_place

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be edited. `digest` is the sha256 of its weights as loaded (so it depends on the dtype).

    `revision` is the hub's commit (None for a folder), `folder` where the files lie (of a model handed over in memory:
    where it says it came from), `parameters` their number, `architecture` the model class.
    """

    model: Any
    tokenizer: Any
    name: str
    revision: str | None
    source: Literal["package", "folder", "hub", "memory"]
    digest: str
    parameters: int
    architecture: str
    folder: Path


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str | None = None,
    trust_remote_code: bool = False,
    offline: bool | None = None,
    packaged: Mapping[str, Path] | None = None,
) -> LoadedModel:
    """Load `name`: a key of `packaged` (name -> folder of a model that ships with a plugin), a folder, or a hub id.

    dtype: float32, bfloat16 or float16. device: cpu, cuda, cuda:N, mps, "auto" or a map (`models.placing`); None takes
    a GPU where there is one. offline None: as HF_HUB_OFFLINE says. Raises ModelError, one line, for everything that
    cannot be loaded.
    """
    kind, place = parse_dtype(dtype), parse_place(device)
    found = find_model(name, revision=revision, offline=offline, packaged=packaged or {})
    with quiet():
        try:
            model, tokenizer = _read(found, name, kind, place, trust_remote_code)
        except EditHarnessError:
            raise
        except Exception as error:
            raise ModelError(f"model {name!r} cannot be loaded: {_first_line(error)}") from error
    prepare_model(model, tokenizer)
    if isinstance(place, torch.device):
        model.to(place)
    else:
        check_placed(model, name)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision=found.revision,
        source=found.source,
        digest=weights_digest(model),
        parameters=sum(p.numel() for p in model.parameters()),
        architecture=type(model).__name__,
        folder=found.folder,
    )


def weights_digest(model: nn.Module) -> str:
    """sha256 over name, dtype, shape and bytes of every parameter and saved buffer, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        tensor = held(model, name, tensor)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        data: Any = flat.view(torch.uint8).numpy()
        digest.update(memoryview(data))
    return digest.hexdigest()


def parse_dtype(name: str) -> torch.dtype:
    """The dtype of a name; raises ModelError."""
    if name not in DTYPES:
        raise ModelError(f"dtype {name!r}: use float32, bfloat16 or float16")
    return DTYPES[name]


def _read(found: Found, name: str, dtype: torch.dtype, place: Place, trust_remote_code: bool) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    config = AutoConfig.from_pretrained(found.folder, **options)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"model {name!r} is an encoder-decoder ({config.model_type}): use a causal language model")
    refuse_quantised(config, name)
    tokenizer = _tokenizer(AutoTokenizer, found.folder, name, options)
    if isinstance(place, Mapping):
        with torch.device("meta"):
            check_modules(place, AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code))
    with ExitStack() as spilled:
        model, report = AutoModelForCausalLM.from_pretrained(
            found.folder, config=config, torch_dtype=dtype, use_safetensors=True, output_loading_info=True,
            **_spread(place, spilled), **options,
        )  # fmt: skip
        weakref.finalize(model, spilled.pop_all().close)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"model {name!r}: its files lack {len(missing)} weights of a language model, first {missing[0]!r}"
        )
    return model, tokenizer


def _spread(place: Place, spilled: ExitStack) -> dict[str, Any]:
    """What transformers is told of places; weights that are cast for the disk lie in a folder as long as the model."""
    if isinstance(place, torch.device):
        return {}
    folder = spilled.enter_context(TemporaryDirectory(prefix="editharness-offload-", ignore_cleanup_errors=True))
    # names, since what reads weights from the disk takes no torch.device
    spread = place if isinstance(place, str) else {name: str(where) for name, where in place.items()}
    return {"device_map": spread, "offload_folder": folder}


def refuse_quantised(config: Any, name: str) -> None:
    """An edit adds small changes to weights, and quantised ones hold no small changes."""
    given = getattr(config, "quantization_config", None)
    if given is None:
        return
    facts = given if isinstance(given, Mapping) else vars(given)
    kind = str(facts.get("quant_method") or "an unnamed method")
    raise ModelError(
        f"model {name!r} is quantised ({kind}): its weights cannot be edited; use the checkpoint it was made from, "
        "with --dtype bfloat16 where memory is short"
    )


def _tokenizer(auto: Any, folder: Path, name: str, options: Mapping[str, Any]) -> Any:
    try:
        tokenizer = auto.from_pretrained(folder, use_fast=True, **options)
    except Exception as error:
        raise ModelError(f"model {name!r}: no tokenizer in {folder} can be read: {_first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"model {name!r}: its tokenizer gives no character offsets; it needs a tokenizer.json")
    return tokenizer


def prepare_model(model: Any, tokenizer: Any) -> None:
    """Eval mode, no gradients, and a token to pad with."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    if getattr(model, "generation_config", None) is not None and model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.eval()
    model.requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars or warnings of transformers and accelerate on the terminal; settings come back afterwards."""
    from logging import getLogger

    from transformers.utils import logging

    level, bars, spreading = logging.get_verbosity(), logging.is_progress_bar_enabled(), getLogger("accelerate")
    before = spreading.level
    logging.set_verbosity(logging.CRITICAL)
    spreading.setLevel(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        spreading.setLevel(before)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
