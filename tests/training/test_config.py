"""Settings: every field is validated, errors name it, and a stopped run is compared with them."""

import math
from typing import Any

import pytest

from itr_core.errors import PairscopeError
from itr_core.training.config import TrainConfig, value_range


def config(**settings: Any) -> TrainConfig:
    return TrainConfig("infonce", "picturebook:train", "starter:infonce", **settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_steps": 0}, r"^max_steps=0: must be an integer \(above 0\) or None\.$"),
        ({"encode_batch": 0}, r"^encode_batch=0: must be an integer \(above 0\) or None\.$"),
        ({"keep_together": 3}, r"^keep_together=3: must divide batch_size=128, "),
        ({"limit": True}, r"^limit=True: must be an integer"),
        ({"batch_size": 0}, r"^batch_size=0: must be an integer \(above 0\)\.$"),
        ({"batch_size": "64"}, r"^batch_size='64': must be an integer"),
        ({"batch_size": 64.0}, r"^batch_size=64\.0: must be an integer"),
        ({"epochs": 0}, r"^epochs=0: must be a number \(above 0\)\.$"),
        ({"lr": math.nan}, r"^lr=nan: must be a number"),
        ({"lr": math.inf}, r"^lr=inf: must be a number"),
        ({"lr": True}, r"^lr=True: must be a number"),
        ({"crop": 1.0}, r"^crop=1\.0: must be a number \(at least 0 and below 1\)\.$"),
        ({"jitter": -0.1}, r"^jitter=-0\.1: must be a number \(at least 0 and at most 1\)\.$"),
        ({"seed": -1}, r"^seed=-1: must be an integer \(at least 0 and at most 4294967295\)\.$"),
        ({"flip": 1}, r"^flip=1: must be True or False\.$"),
        ({"validation": 3}, r"^validation=3: must be a string or None\.$"),
        ({"columns": {"captions": 5}}, r"^columns=\{'captions': 5\}: must be a mapping"),
        ({"options": ["queue=8"]}, r"^options=\['queue=8'\]: must be a mapping"),
        ({"trackers": "wandb"}, r"^trackers='wandb': must be a list of strings\.$"),
        ({"device": "gpu"}, r"^device='gpu': must be one of auto, cpu\. Did you mean 'cpu'\?$"),
        ({"labels": "cluster"}, r"^labels='cluster': must be one of auto, .* Did you mean 'clusters'\?$"),
        ({"precision": "x"}, r"^precision='x': must be one of auto, fp32, bf16\.$"),
        ({"batchsize": 64}, r"^There is no setting 'batchsize'\. Did you mean 'batch_size'\?$"),
    ],
)
def test_errors_name_setting_value_and_what_is_allowed(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(PairscopeError, match=message):
        config(**setting)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(PairscopeError, match=r"crop=2: .* jitter=-1: "):
        config(jitter=-1, crop=2)


@pytest.mark.parametrize("name", TrainConfig.model_fields)
def test_every_setting_refuses_a_value_of_no_known_type(name: str) -> None:
    given: dict[str, Any] = {"method": "infonce", "source": "picturebook", "model": "x"} | {name: b"?"}
    with pytest.raises(PairscopeError, match=rf"^{name}=b'\?': must be "):
        TrainConfig(**given)


@pytest.mark.parametrize("name", TrainConfig.model_fields)
def test_every_setting_has_a_description(name: str) -> None:
    assert TrainConfig.model_fields[name].description


def test_every_number_has_a_range() -> None:
    numbers = [name for name, field in TrainConfig.model_fields.items()
               if field.annotation in (int, float, int | None, float | None)]  # fmt: skip
    assert len(numbers) > 20
    assert [name for name in numbers if not value_range(name)] == []


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(config(), "lr", 1.0)  # noqa: B010 - mypy refuses the plain assignment


def test_clip_may_be_infinite() -> None:
    assert config(clip=math.inf).clip == math.inf


def test_json_has_lists_and_defaults() -> None:
    values = config(epochs=5, trackers=("wandb",), columns={"captions": ["a", "b"]}).as_json()
    assert values["epochs"] == 5
    assert values["trackers"] == ["wandb"]
    assert values["columns"] == {"captions": ["a", "b"]}
    assert values["max_steps"] is None
    assert list(values)[:3] == ["method", "source", "model"]
    assert values.keys() == TrainConfig.model_fields.keys()


def test_a_run_resumes_with_the_settings_that_it_was_stopped_with() -> None:
    stopped = config(epochs=5, lr=0.1).as_json()
    config(epochs=5, lr=0.1).resuming(stopped)
    config(epochs=5, lr=0.1, workers=3, save_every=7, device="cpu").resuming(stopped)
    with pytest.raises(PairscopeError, match=r"lr was 0\.1, is 0\.2\. Repeat the first command"):
        config(epochs=5, lr=0.2).resuming(stopped)


@pytest.mark.parametrize(
    ("model", "settings", "rates"),
    [
        ("picturebook-vit/none", {}, (1e-3, 1.0, 1.0)),
        ("picturebook-vit/none", {"image_weights": "w.safetensors"}, (1e-3, 0.01, 1.0)),
        ("starter:infonce", {}, (1e-5, 0.5, 0.5)),
        ("hf-hub:org/repo", {"image_lr_factor": 0.0}, (1e-5, 0.0, 0.5)),
        ("ViT-B-32/openai", {"lr": 1e-4}, (1e-4, 1.0, 1.0)),
        ("ViT-B-32/openai", {"lora": 8}, (1e-4, 1.0, 1.0)),
    ],
)
def test_default_learning_rates_depend_on_where_the_weights_come_from(
    model: str, settings: dict[str, Any], rates: tuple[float, float, float]
) -> None:
    made = TrainConfig("infonce", "picturebook", model, **settings).with_rates()
    assert (made.lr, made.image_lr_factor, made.text_lr_factor) == rates
    assert made.with_rates() == made


def test_a_run_of_an_older_version_resumes_with_its_learning_rate() -> None:
    stopped = config().as_json() | {"lr": 1e-3, "image_lr_factor": 1.0, "text_lr_factor": 1.0}
    del stopped["lora"], stopped["freeze_text"], stopped["gradient_checkpointing"]
    assert config().resuming(stopped).lr == 1e-3
    with pytest.raises(PairscopeError, match=r"lr was 0\.001, is 0\.01"):
        config(lr=0.01).resuming(stopped)


def test_a_setting_that_did_not_exist_counts_as_its_default() -> None:
    stopped = config().as_json()
    del stopped["ema_decay"]
    config().resuming(stopped)
    with pytest.raises(PairscopeError, match=r"ema_decay was 0\.0, is 0\.5"):
        config(ema_decay=0.5).resuming(stopped)
