"""Multimodal models of sentence-transformers: two towers of transformers, a prompt, and perhaps dense layers.

    sentence-transformers:ORG/REPO[@REVISION]   a repository on the hub
    sentence-transformers:PATH                  a folder that SentenceTransformer.save_pretrained wrote
    ...#document                                texts get the prompt for documents, not the one for queries

The modules Transformer (or CLIPModel), Dense and Normalize are run, on the architectures of
`transformers_model`. The files name classes to import, so they are read here: the package
sentence-transformers is not needed.
"""

from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field
from torch import nn

from itr_core.encoders.foreign_json import Foreign, read_json, read_json_list, validate
from itr_core.encoders.loading import LoadedModel
from itr_core.encoders.model_files import ModelFiles, read_weights, require_weights
from itr_core.encoders.open_clip_config import ContextLength, Width
from itr_core.encoders.transformers_model import PaddingTokenizer, open_transformers
from itr_core.errors import ModelError

MODULES, PROMPTS = "modules.json", "config_sentence_transformers.json"
TRANSFORMER, DENSE = "sentence_bert_config.json", "config.json"
ROLES = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Names of the prompts for each role, as sentence-transformers looks for them."""
ACTIVATIONS: dict[str, type[nn.Module]] = {
    f"torch.nn.modules.{module}.{found.__name__}": found
    for module, found in (
        ("linear", nn.Identity),
        ("activation", nn.Tanh),
        ("activation", nn.ReLU),
        ("activation", nn.GELU),
        ("activation", nn.SiLU),
        ("activation", nn.Sigmoid),
    )
}


T = TypeVar("T", bound=Foreign)


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"it must be one of {', '.join(ACTIVATIONS)}")
    return name


class _Known(Foreign):
    model_config = ConfigDict(extra="ignore")


class Module(_Known):
    """One step of a model of sentence-transformers: its folder and its class."""

    path: Annotated[str, Field(pattern=r"^[\w-]{0,100}$")]
    type: Annotated[str, Field(pattern=r"^sentence_transformers\.[\w.]{1,200}$")]

    @property
    def kind(self) -> str:
        """Name of the class; its package differs between versions of sentence-transformers."""
        return self.type.rpartition(".")[2]


class _Prompts(_Known):
    prompts: dict[str, Annotated[str, Field(max_length=10_000)]] = Field(default_factory=dict)
    default_prompt_name: str | None = None


class _Method(_Known):
    method: str


class _Transformer(_Known):
    max_seq_length: ContextLength | None = None
    do_lower_case: bool = False
    modality_config: dict[str, _Method] = Field(default_factory=dict)


class _Dense(_Known):
    in_features: Width
    out_features: Width
    bias: bool = True
    activation_function: Annotated[str, AfterValidator(_activation)] = "torch.nn.modules.activation.Tanh"
    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    use_residual: Literal[False] = False


def open_sentence_model(source: str) -> LoadedModel:
    """Load a model in float32 on the CPU.

    Args:
        source: a folder, or ORG/REPO[@REVISION] on the hub; with '#document' for the prompt of documents.

    Raises:
        ModelError: A file is missing, damaged, or asks for what is not accepted.
    """
    source, _, role = source.partition("#")
    if role not in ("", *ROLES):
        raise ModelError(f"#{role} is no role of texts; write #query (the default) or #document.")
    files = ModelFiles(source)
    towers, *others = _modules(files)
    loaded = open_transformers(files.inside(towers.path))
    prompts = _read(_Prompts, files, PROMPTS)
    dim = loaded.config["model_cfg"]["embed_dim"]
    for module in others:
        if module.kind == "Dense":
            layer, dim = _dense(files.inside(module.path), dim)
            loaded.model.head = nn.Sequential(loaded.model.head, layer)
    towers_config = loaded.config["model_cfg"] | {"embed_dim": dim}
    return replace(
        loaded,
        tokenizer=_tokenizer(files.inside(towers.path), loaded.tokenizer, _prompt(prompts, role or "query")),
        config=loaded.config | {"model_cfg": towers_config, "prompts": prompts.prompts},
        spec=f"sentence-transformers:{files}" + (f"#{role}" if role else ""),
    )


def _modules(files: ModelFiles) -> list[Module]:
    """Return the modules in order. A model of transformers lists none, and is one."""
    path = files.find(MODULES)
    if path is None:
        return [Module(path="", type="sentence_transformers.models.Transformer")]
    modules = [validate(Module, module, path) for module in read_json_list(path)]
    kinds = [module.kind for module in modules]
    if kinds[:1] not in (["Transformer"], ["CLIPModel"]) or not {*kinds[1:]} <= {"Dense", "Normalize"}:
        raise ModelError(
            f"{path}: the modules are {', '.join(kinds) or 'none'}. Only a Transformer or CLIPModel of "
            "images and texts can be run here, followed by Dense and Normalize."
        )
    return modules


def _prompt(prompts: _Prompts, role: str) -> str:
    names = [*ROLES[role], prompts.default_prompt_name]
    return next((prompts.prompts[name] for name in names if name in prompts.prompts), "")


def _tokenizer(files: ModelFiles, tokenizer: PaddingTokenizer, prompt: str) -> PaddingTokenizer:
    settings = _read(_Transformer, files, TRANSFORMER)
    for modality, method in settings.modality_config.items():
        if modality in ("text", "image") and method.method != f"get_{modality}_features":
            raise ModelError(
                f"{TRANSFORMER}: {modality} is encoded by {method.method}, which is not known here."
            )
    length = min(tokenizer.context_length, settings.max_seq_length or tokenizer.context_length)
    clean = tokenizer.clean
    if settings.do_lower_case:
        return PaddingTokenizer(tokenizer.tokenizer, length, lambda text: clean(text.lower()), prompt)
    return PaddingTokenizer(tokenizer.tokenizer, length, clean, prompt)


def _dense(files: ModelFiles, width: int) -> tuple[nn.Module, int]:
    """Return a dense layer with its activation, and the width of its output."""
    path = files.file(DENSE)
    settings = _read(_Dense, files, DENSE)
    if settings.in_features != width:
        raise ModelError(
            f"{path}: in_features = {settings.in_features}, but the embeddings before have {width}."
        )
    weights = files.weights()
    require_weights(settings.in_features * settings.out_features, weights, path)
    linear = nn.Linear(width, settings.out_features, settings.bias)
    linear.load_state_dict(
        {name.removeprefix("linear."): weight for name, weight in read_weights(weights).items()}
    )
    return nn.Sequential(linear, ACTIVATIONS[settings.activation_function]()), settings.out_features


def _read(model: type[T], files: ModelFiles, name: str) -> T:
    """Read and validate a file; one that is missing has only defaults."""
    path = files.find(name)
    return model() if path is None else validate(model, read_json(path), path)
