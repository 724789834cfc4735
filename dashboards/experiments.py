"""What each laboratory sheet is, in plain language: what is seen, and what it does not show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One kind of sheet: its name, what one sees, what it does not show, and whose idea it is."""

    title: str
    seen: str
    limits: str
    source: str
    command: str


SMALL = "The model is small and its world is drawn: larger ones may behave otherwise."
ABOUT = {
    "noising": About(
        "Noise, forward",
        "A picture with more and more noise added to its latents, decoded. Training teaches the "
        "model to undo exactly this.",
        "The judge was never shown noise: what it can't read a person may still make out.",
        "Ho et al. 2020, equation 4", "pellucid sd noising",
    ),
    "denoising": About(
        "Noise, backward",
        "Each prompt step by step: above the latents as they are, below the clean picture that "
        "the model foresees at that step. The curves say when each factor stops changing.",
        "A factor counts as decided when the judge's reading no longer changes; a reading that "
        "is wrong from the start counts as early.",
        "Ho et al. 2020", "pellucid sd denoising",
    ),
    "decoder": About(
        "Without the decoder",
        "The same latents with the decoder, through the best linear maps in its place, and "
        "channel by channel.",
        "A linear map is the simplest of readers: what it misses may still be in the latents.",
        "Rombach et al. 2022 for the latents; least squares for the maps", "pellucid sd decoder",
    ),
    "guidance": About(
        "Guidance",
        "The same prompts and noise at growing guidance: more as asked, less variety.",
        "Diversity is how often two pictures differ in a factor, and has no interval here. "
        + SMALL,
        "Ho and Salimans 2022", "pellucid sd guidance",
    ),
    "schedulers": About(
        "Samplers",
        "One network and one noise, walked by several samplers with few and many steps.",
        "Heun asks the network about twice a step, so equal steps are not equal time: see the "
        "seconds, which are of one machine.",
        "Karras et al. 2022 and Lu et al. 2022, among others", "pellucid sd schedulers",
    ),
    "layers": About(
        "The text encoder, layer by layer",
        "Pictures drawn from the prompt as each layer of the text encoder leaves it.",
        "The U-Net learnt with the last layer alone: a worse picture from an early one may mean "
        "that the U-Net can't read it, not that the layer knows less.",
        "Toker et al. 2024, Diffusion Lens", "pellucid sd layers",
    ),
    "attention": About(
        "Where the words look",
        "Each word's cross-attention over the picture it helped to draw: red where the picture "
        "listens to the word more than to the others. The figure asks whether the peak lies on "
        "what the word names, in renders where that is known.",
        "Attention says where a word is read, not what it causes there; and a word's peak says "
        "nothing of the rest of its map.",
        "Tang et al. 2023, DAAM; Zhang et al. 2018, the pointing game", "pellucid sd attention",
    ),
    "memorisation": About(
        "Learnt by heart",
        "Planted copies, what the models draw from captions of them, and below each picture the "
        "training picture that it shares most detail with. The curves say how often a planted "
        "texture came back, and how hard the captions pull, against captions of the same looks.",
        "A picture that is not called a copy may still resemble training pictures in what it "
        "shows: what is sought here is shared detail. Six copies say little of other counts. "
        + SMALL,
        "Carlini et al. 2023; Wen et al. 2024; Somepalli et al. 2023", "pellucid memorisation",
    ),
    "edit": About(
        "Image to image",
        "One picture noised part of the way and drawn again with a prompt. Left little noise, "
        "right all of it.",
        "The shares are of portraits without glasses that were asked to have some, whatever "
        "picture and prompt the sheet shows. What stayed is counted by factor, and the factors of "
        "one portrait are not independent: its interval is a little too narrow.",
        "Meng et al. 2022, SDEdit", "pellucid sd edit",
    ),
    "inpaint": About(
        "Inpainting",
        "Only the red region is drawn again; around it the picture is put back at every step.",
        "Glasses cover the eyes, so parts of the face are drawn anew, too. The dB are through "
        "the autoencoder, which alone changes every pixel a little. What stayed is counted by "
        "factor, so its interval is a little too narrow.",
        "Lugmayr et al. 2022, without resampling", "pellucid sd inpaint",
    ),
    "compression": About(
        "How far to compress",
        "The same U-Net trained for the same steps on latents of factor 1, 2, 4 and 8.",
        "One training for each factor, for minutes and not for days: the order may change with "
        "more steps or another seed. The whiskers are ranges over halves of the pictures, not "
        "over trainings.",
        "Rombach et al. 2022, section 4.1", "pellucid sd compression",
    ),
    "variations": About(
        "Variations",
        "One picture's embedding drawn with other noise. What stays is what CLIP kept, what "
        "changes is what it left open.",
        "One picture: another one may keep more, or less.",
        "Ramesh et al. 2022, section 3.1", "pellucid unclip variations PICTURE",
    ),
    "interpolate": About(
        "Interpolation",
        "From one picture's embedding to another's along the sphere.",
        "Two pictures and one path: others are as short.",
        "Ramesh et al. 2022, section 3.2", "pellucid unclip interpolate PICTURE PICTURE",
    ),
    "diff": About(
        "Text diff",
        "A picture moved along the difference of two texts' embeddings, further to the right.",
        "One picture shows what can happen, not how often.",
        "Ramesh et al. 2022, section 3.3", 'pellucid unclip diff PICTURE --after "..."',
    ),
    "ladder": About(
        "PCA ladder",
        "A picture's embedding rebuilt from few principal components, then more.",
        "Components are ordered by variance among real portraits, not by meaning.",
        "Ramesh et al. 2022, section 4", "pellucid unclip ladder PICTURE",
    ),
    "badge": About(
        "The typographic attack",
        "People with a lettered badge: what CLIP takes them for, and what the decoder draws from "
        "the same embedding.",
        "Four words on badges of one look; larger models read far more.",
        "Ramesh et al. 2022, section 4", "pellucid unclip badge",
    ),
    "prove": About(
        "Is a direction causal?",
        "Portraits it never saw, drawn from their embeddings moved along the direction, the same "
        "noise at every strength. A judge that shares nothing with CLIP reads every factor; the "
        "verdict compares what the level did with directions of equal norm that owe it nothing.",
        "The verdict is about these portraits, this decoder and this strength. The intervals are "
        "of the starts; the nulls' number limits how small a p-value can get. A picture that the "
        "judge can't read counts as one without the level.",
        "Shen et al. 2020, InterFaceGAN, for re-scoring; Holm 1979; Rogan and Gladen 1978",
        "pellucid prove DIRECTION",
    ),
}  # fmt: skip


def about(kind: str) -> About:
    """What a sheet is; a kind that is not known here says so."""
    plain = About(kind, "The sheet as the command drew it.", SMALL, "", "pellucid")
    return ABOUT.get(kind, plain)
