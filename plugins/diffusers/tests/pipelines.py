"""Tiny random pipelines of diffusers, in folders."""

import diffusers
import torch


def unet(**more):
    torch.manual_seed(0)
    options = {
        "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": (8, 16), "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1, "attention_head_dim": 8,
    }  # fmt: skip
    return diffusers.UNet2DModel(**{**options, **more}).eval()


def saved(network, scheduler, folder):
    """The folder of an unconditional pipeline."""
    diffusers.DDPMPipeline(unet=network, scheduler=scheduler).save_pretrained(folder)
    return folder


def stable_diffusion(folder, size=8):
    """The folder of a pipeline in the form of Stable Diffusion, with random weights and a vocabulary of letters."""
    import json

    import transformers

    torch.manual_seed(1)
    network = diffusers.UNet2DConditionModel(
        sample_size=size, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=2, norm_num_groups=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, sample_size=2 * size,
    )  # fmt: skip
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8, unk_token="<|endoftext|>"
    )
    encoder = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=8, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae.eval(), text_encoder=encoder.eval(), tokenizer=tokenizer, unet=network.eval(), scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return pipeline
