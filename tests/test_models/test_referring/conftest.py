import pytest
import torch

WORDS = (
    'a man red blue circle square skate ##boarder on the left right of top , next to dog'.split()
)


def make_tokenizer(folder, limit=12):
    """A tokenizer of words, which cuts 'skateboarder' in two, in a folder of its own."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ['<start>', '<end>', '<unk>', *WORDS]
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token='<unk>'))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<start> $A <end>', special_tokens=[('<start>', 0), ('<end>', 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token='<start>',
        eos_token='<end>',
        pad_token='<end>',
        unk_token='<unk>',
        model_max_length=limit,
    )
    fast.save_pretrained(folder)
    return fast


def text_config(limit=12):
    return dict(
        vocab_size=len(WORDS) + 3,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=limit,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


@pytest.fixture(scope='session')
def tokenizer(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp('tokenizer'))


@pytest.fixture(scope='session')
def stable_diffusion(tmp_path_factory):
    """A Stable Diffusion of random weights: 32 pixels, latents 16x16, cross-attention at 16 and 8.

    The text encoder reads 12 tokens.
    """
    diffusers = pytest.importorskip('diffusers')
    transformers = pytest.importorskip('transformers')
    root = tmp_path_factory.mktemp('models') / 'stable_diffusion'
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        layers_per_block=1,
        norm_num_groups=4,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        down_block_types=('CrossAttnDownBlock2D',) * 2,
        up_block_types=('CrossAttnUpBlock2D',) * 2,
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear'
    )
    encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(**text_config()))
    parts = dict(vae=vae, unet=unet, scheduler=scheduler, text_encoder=encoder)
    for name, part in parts.items():
        part.save_pretrained(root / name)
    make_tokenizer(root / 'tokenizer')
    return str(root)


@pytest.fixture(scope='session')
def clip(tmp_path_factory):
    """A CLIP of random weights: 32 pixels in 4x4 patches of 8, three layers."""
    transformers = pytest.importorskip('transformers')
    root = tmp_path_factory.mktemp('models') / 'clip'
    torch.manual_seed(0)
    vision = dict(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    config = transformers.CLIPConfig(
        text_config=text_config(), vision_config=vision, projection_dim=8
    )
    transformers.CLIPModel(config).save_pretrained(root)
    make_tokenizer(root)
    return str(root)


@pytest.fixture(scope='session')
def sam(tmp_path_factory):
    """A SAM of random weights, 64 pixels."""
    transformers = pytest.importorskip('transformers')
    root = tmp_path_factory.mktemp('models') / 'sam'
    torch.manual_seed(0)
    config = transformers.SamConfig(
        vision_config=dict(
            hidden_size=16,
            output_channels=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=64,
            patch_size=16,
            window_size=2,
            global_attn_indexes=[1],
            mlp_dim=16,
            num_pos_feats=4,
        ),
        prompt_encoder_config=dict(
            hidden_size=8, image_size=64, patch_size=16, mask_input_channels=4
        ),
        mask_decoder_config=dict(
            hidden_size=8, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=8
        ),
    )
    transformers.SamModel(config).save_pretrained(root)
    return str(root)


@pytest.fixture
def image():
    """A random picture (40, 56, 3) uint8."""
    noise = torch.randint(0, 256, (40, 56, 3), generator=torch.Generator().manual_seed(0))
    return noise.to(torch.uint8).numpy()


@pytest.fixture
def masks():
    """Four regions of the picture (4, 40, 56): a box, a bar, scattered pixels, two pixels."""
    masks = torch.zeros(4, 40, 56, dtype=torch.bool)
    masks[0, 5:30, 10:40] = True
    masks[1, 20:24, :] = True
    masks[2] = torch.rand(40, 56, generator=torch.Generator().manual_seed(0)) > 0.6
    masks[3, 1:3, 1] = True
    return masks
