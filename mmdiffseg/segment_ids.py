"""How mmdet numbers the segments of a picture."""

#: the number of a segment is its class + offset * number of the object in the picture
INSTANCE_OFFSET = 1000
