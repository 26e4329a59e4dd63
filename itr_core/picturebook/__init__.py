"""Picturebook: a synthetic world with images, captions and exact relevance, all generated from seeds.

    from itr_core.picturebook.splits import scene_of
    from itr_core.picturebook.captions import captions_of
    from itr_core.picturebook.rendering import draw

    scene = scene_of("test", 17)
    draw(scene), captions_of(scene)

Modules in order of dependency; each uses only those before it:

ontology                                       the data: kinds of things, places, times, weathers, words
sprites, scene, backdrops, rendering           a scene, and its picture
sampling, splits                               random scenes, and which split they belong to
semantics, relevance                           what is true of a scene, or of the scenes of a gallery
wording, caption_builder, captions, broken     the captions, and words for why one is not true
scene_rules, scene_code, scene_edits, twins    scenes that are edited by visitors, or changed in one fact
edits, statements, alternatives                captions and words that differ in one fact
typed_queries, phrases, parsing                queries as people type them: made, and understood
source                                         all of this as a source of pairs
"""
