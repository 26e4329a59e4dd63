"""Picturebook: a synthetic world with images, captions and exact relevance, all generated from seeds.

    from itr_core.picturebook.splits import scene_of
    from itr_core.picturebook.captions import captions_of
    from itr_core.picturebook.rendering import draw

    scene = scene_of("test", 17)
    draw(scene), captions_of(scene)

Modules in order of dependency: ontology (data); scene, sampling, splits; semantics (what is true of a scene);
wording, caption_builder, captions, edits; relevance; sprites, backdrops, rendering; source.
"""
