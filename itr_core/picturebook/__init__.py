"""Picturebook: a drawn world whose pictures, captions and exact relevance all come from one seed.

    from itr_core.picturebook.splits import scene_of
    from itr_core.picturebook.captions import captions_of
    from itr_core.picturebook.rendering import draw

    scene = scene_of("test", 17)
    draw(scene), captions_of(scene)

ontology (data) -> scene, sampling, splits -> meaning (truth) -> captions, edits, relevance -> source.
"""
