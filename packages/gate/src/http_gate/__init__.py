"""The gate between the network and the two services, before either knows who is asking.

`connections`: limits their number, and how slowly and how much they may send.
`bodies`: bodies that are read as a whole. `descriptors`: open files of this process.

It knows nothing of the routes, accounts or errors of either service; they pass it numbers.
"""
