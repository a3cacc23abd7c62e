"""Images: datasets, metrics with a classifier of the data, and convolutional networks, also for series and volumes."""

from difrun.api import Component, hookimpl
from difrun_images import options


@hookimpl
def difrun_datasets() -> list[Component]:
    provides = {"real", "images", "classes"}
    return [
        Component(
            "digits",
            "difrun_images.data:digits",
            "Handwritten digits, 8x8 grey, 1797 of them: those of scikit-learn",
            options.DigitsOptions,
            provides=provides,
            prefers={"model": "unet"},
            suits={
                "train.steps": 3000,
                "train.batch": 64,
                "sample.n": 1000,
                "sample.chunk": 250,
            },
        ),
        Component(
            "mnist",
            "difrun_images.data:mnist",
            "Handwritten digits, 28x28 grey, from the MNIST files in a folder of yours",
            options.MnistOptions,
            provides=provides,
            prefers={"model": "unet"},
            suits={
                "train.steps": 20000,
                "train.batch": 64,
                "train.lr": 1e-3,
                "sample.n": 1000,
                "sample.chunk": 250,
            },
        ),
        Component(
            "image-folder",
            "difrun_images.data:image_folder",
            "Your image files of any format that Pillow reads, subfolders as classes",
            options.FolderOptions,
            provides=provides,
            prefers={"model": "unet"},
            suits={
                "train.steps": 20000,
                "train.batch": 64,
                "train.lr": 1e-3,
                "sample.n": 1000,
                "sample.chunk": 250,
            },
        ),
    ]


@hookimpl
def difrun_models() -> list[Component]:
    provides = {"network", "conditional"}
    return [
        Component(
            "unet",
            "difrun_images.unet:UNet",
            "U-Net for images, series and volumes: residual blocks at several resolutions, attention",
            options.UNetOptions,
            provides=provides,
            requires={"real"},
            prefers={"dataset": "digits"},
        ),
        Component(
            "cnn",
            "difrun_images.cnn:CNN",
            "Residual convolutional network at one resolution, for images, series and volumes",
            options.CNNOptions,
            provides=provides,
            requires={"real"},
            prefers={"dataset": "digits"},
        ),
    ]


@hookimpl
def difrun_metrics() -> list[Component]:
    return [
        Component(
            "image-features",
            "difrun_images.metrics:image_features",
            "Fréchet and kernel distance in the features of a classifier of the training data",
            options.FeatureOptions,
            requires={"images"},
        ),
        Component(
            "class-accuracy",
            "difrun_images.metrics:class_accuracy",
            "Share of samples of a given class that a classifier of the training data puts into it",
            provides={"labels"},
            requires={"images"},
        ),
        Component(
            "nearest-image",
            "difrun_images.metrics:nearest_image",
            "Distance to the nearest training image, in pixels: memorisation",
            options.NearestOptions,
            requires={"images"},
        ),
    ]
