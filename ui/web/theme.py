"""The theme: colours, one scale of type sizes, and system fonts."""

import gradio as gr

# In rem, so that large type for a projector is one size of the root. The sizes of style.css are the same.
_TYPE = gr.themes.Size(
    name="text", xxs=".7rem", xs=".76rem", sm=".84rem", md=".95rem", lg="1rem", xl="1.3rem", xxl="1.6rem"
)
# System fonts only: Gradio's default themes load theirs from a font service.
THEME = gr.themes.Soft(
    primary_hue="teal", secondary_hue="orange", neutral_hue="stone", radius_size="lg", text_size=_TYPE,
    font=["ui-rounded", "system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
).set(
    block_label_background_fill="transparent", block_label_text_color="*body_text_color_subdued",
    block_title_background_fill="transparent", block_title_text_color="*body_text_color_subdued",
    body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
    # Paper and night: pages are warm, what stands on them is lighter.
    body_background_fill="#faf8f4", body_background_fill_dark="#13110f",
    background_fill_primary="white", background_fill_primary_dark="#1d1a17",
    background_fill_secondary="#f1ede6", background_fill_secondary_dark="#2a2622",
    border_color_primary="#ddd6cb", border_color_primary_dark="#423c36",
    block_title_padding="0", block_border_width="1px", block_background_fill_dark="*background_fill_primary",
    input_background_fill="*background_fill_primary", input_background_fill_dark="*background_fill_primary",
    checkbox_label_background_fill_dark="*background_fill_secondary",
    checkbox_label_border_width="1px", checkbox_label_border_color="*border_color_primary",
    checkbox_label_shadow="none", checkbox_border_color="*neutral_300",
    # White on the theme's own colour of chosen options and main buttons has a contrast below 3.
    checkbox_label_background_fill_selected="*primary_700",
    checkbox_label_background_fill_selected_dark="*primary_700",
    button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)  # fmt: skip
