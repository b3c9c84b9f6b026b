"""What the columns of the comparison mean."""

from typing import NamedTuple


class Measure(NamedTuple):
    """One column: its unit, empty where it has none, and a sentence for those who meet it first."""

    name: str
    unit: str
    meaning: str


MEASURES = {
    "latent": Measure("Latent", "numbers", "How many numbers an image is stored in: the length of its code z."),
    "mse": Measure(
        "MSE",
        "per pixel",
        "Mean squared error between test images and their reconstructions, pixels in [0, 1].",
    ),
    "ssim": Measure(
        "SSIM",
        "",
        "Structural similarity of test images and reconstructions: 1 where they are equal. It minds edges and texture "
        "more than exact brightness.",
    ),
    "neg_elbo": Measure(
        "−ELBO",
        "nats per image",
        "What a VAE minimises: the cost of an image given its code plus the KL. It bounds the negative log-likelihood "
        "from above. On grey pixels compare it within one protocol only.",
    ),
    "nll": Measure(
        "NLL",
        "nats per image",
        "Negative log-likelihood, estimated from above by many weighted samples of z (Burda et al. 2015): closer than "
        "−ELBO.",
    ),
    "kl": Measure(
        "KL",
        "nats per image",
        "How much a VAE's code says about the image: the distance of q(z|x) from N(0, I), summed over the dimensions. "
        "Neither less nor more is better by itself.",
    ),
    "knn5": Measure(
        "5-NN",
        "share right",
        "How often the five nearest training codes name a test image's class: whether like images lie together.",
    ),
    "frechet/prior": Measure(
        "FD N(0, I)",
        "",
        "Fréchet distance between test images and images decoded from z ~ N(0, I), in the features of a classifier "
        "trained for this data set: whether the model can invent images. It depends on that classifier and its seed: "
        "it compares within one classifier only.",
    ),
    "frechet/mixture": Measure(
        "FD mixture",
        "",
        "The same with z from a Gaussian mixture fitted to the training codes: what the decoder can do where the codes "
        "really lie.",
    ),
    "train_seconds": Measure("Training", "seconds", "Time that the training took, on the hardware named above."),
}
