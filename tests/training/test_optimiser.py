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
    optimizer = Adam(own)
    loss(own).backward()
    optimizer.step(0.1, found_inf=torch.zeros(()))
    before = [value.clone() for value in [*own, *(v for values in optimizer.state_dict().values() for v in values)]]
    optimizer.step(0.1, found_inf=torch.ones(()))
    after = [*own, *(v for values in optimizer.state_dict().values() for v in values)]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


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
