"""The report: everything that was run, on one page that opens from disk.

    measures      what each number of the comparison means, and its unit
    references    what others, or other protocols, reached on the same images
    comparison    the table: measured rows, the best of each column, references
    pictures      figures inside the page, with captions and alternative texts
    thumbnails    small images inside the page
    examples      strips of reconstructions and draws; the best and the worst reconstructions of each model
    decoders      decoders for the page: a list of layers, and weights in 8 bits
    planes        models of two latent dimensions: codes, and the test images that are the dots
    sliders       a model of more dimensions, the widest of which have sliders
    explore       which models decode in the page
    page          all of it in one HTML file

Folders are read by the stage; here data go in and HTML comes out. `template.html` includes a file for each longer
section. `decoder.js` is the decoder in the page, `page.js` its contents, tabs and tables.
"""
