"""PyTorch modules that adapters put into a model in place of its own."""
import torch


class Known(torch.nn.Module):
    """A projection whose result is known: returns `value` whatever it is given."""

    value: torch.Tensor

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.value
