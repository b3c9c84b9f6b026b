"""The report: everything that was run, on one page that opens from disk.

    measures      what each number of the comparison means, and its unit
    references    what others, or other protocols, reached on the same images
    comparison    the table: measured rows, the best of each column, references
    pictures      figures inside the page, with captions and alternative texts
    planes        two-dimensional models for the page: codes, and the decoder as a list of layers
    page          all of it in one HTML file

Folders are read by the stage; here data go in and HTML comes out. `decoder.js` is the decoder in the page.
"""
