# cmake -D OUT=digits.c -D DIR=datasets/digits -P embed.cmake
# Writes the gzipped idx files of the digits as C arrays.

set(text "#include <stddef.h>\n\n")
foreach(pair
    train_images:train-images-idx3-ubyte train_labels:train-labels-idx1-ubyte
    test_images:t10k-images-idx3-ubyte test_labels:t10k-labels-idx1-ubyte)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ ${DIR}/${file}.gz bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  set(array ct__digits_${name}_gz)
  string(APPEND text
    "extern const unsigned char ${array}[];\nextern const size_t ${array}_size;\n"
    "const unsigned char ${array}[] = {\n${bytes}};\n"
    "const size_t ${array}_size = sizeof ${array};\n\n")
endforeach()
file(WRITE ${OUT} "${text}")
