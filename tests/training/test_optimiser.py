import torch
from processes import run_python
from torch.nn import Parameter

from autoencoders.training.optimiser import Adam


def parameters() -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    matrix, vector = torch.randn(5, 3, generator=generator), torch.randn(3, generator=generator)
    return [Parameter(matrix.t().contiguous().t()), Parameter(vector)]  # one stored by columns, as convolutions may be


def loss(pair: list[Parameter]) -> torch.Tensor:
    return (pair[0] @ pair[1]).square().sum()


def test_it_equals_torch_s_adam_bit_for_bit():
    own, reference = parameters(), parameters()
    optimizer, other = Adam(own), torch.optim.Adam(reference, lr=0.1, fused=True)
    for step in range(7):
        rate = 0.1 / (step + 1)
        other.param_groups[0]["lr"] = rate
        for each, pair in ((optimizer, own), (other, reference)):
            each.zero_grad()
            loss(pair).backward()
        optimizer.step(rate)
        other.step()
    assert all(torch.equal(mine, its) for mine, its in zip(own, reference, strict=True))


def test_a_step_with_found_inf_changes_nothing():
    own = parameters()
    optimizer = Adam(own, own, decay=0.5)
    loss(own).backward()
    optimizer.step(0.1, found_inf=torch.zeros(()))
    before = [value.clone() for value in [*own, *(v for values in optimizer.state_dict().values() for v in values)]]
    optimizer.step(0.1, found_inf=torch.ones(()))
    after = [*own, *(v for values in optimizer.state_dict().values() for v in values)]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_the_decayed_weights_alone_are_drawn_towards_zero():
    """As torch's AdamW does it, for a decay so small that exp(−x) is 1 − x."""
    own, reference = parameters(), parameters()
    optimizer = Adam(own, own[:1], decay=0.1)
    groups = [{"params": reference[:1], "weight_decay": 0.1}, {"params": reference[1:], "weight_decay": 0.0}]
    other = torch.optim.AdamW(groups, lr=0.01)
    for _ in range(50):
        for each, pair in ((optimizer, own), (other, reference)):
            each.zero_grad()
            loss(pair).backward()
        optimizer.step(0.01)
        other.step()
    for mine, its in zip(own, reference, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-4)
    undecayed = parameters()
    assert all((mine - its).norm() > 0.02 for mine, its in zip(own, undecayed, strict=True))


def test_no_decay_turns_a_weight_around():
    weight = Parameter(torch.ones(3))
    optimizer = Adam([weight], [weight], decay=1e3)
    weight.grad = torch.zeros(3)
    optimizer.step(1.0)
    assert weight.tolist() == [0, 0, 0]


def test_training_imports_torch_and_numpy_alone():
    modules = ("loop", "fitting", "checkpoint", "object_store", "optimiser", "distributed", "device")
    code = f"import sys, {', '.join(f'autoencoders.training.{name}' for name in modules)}\n"
    code += "print({'pydantic', 'fsspec', 'pandas', 'mlflow', 'sklearn'} & set(sys.modules))"
    assert run_python(code).stdout == "set()\n"


def test_the_compiler_is_not_imported():
    code = (
        "import sys, torch; from autoencoders.training.optimiser import Adam\n"
        "p = torch.nn.Parameter(torch.ones(2)); a = Adam([p]); p.sum().backward(); a.step(0.1)\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    run_python(code)
