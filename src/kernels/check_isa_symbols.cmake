# Fails when an object compiled for one instruction set defines a symbol that the linker could share
# with others (weak W, V; unique u): it would keep one copy for all CPUs. Data of the block formats
# is the same everywhere and may be shared.
#   cmake -DNM=nm -DOBJECTS=a.o,b.o -P check_isa_symbols.cmake
string(REPLACE "," ";" objects "${OBJECTS}")
list(FILTER objects INCLUDE REGEX "/(x86/(avx|sse)|arm/neon)[^/]*$")
list(LENGTH objects count)
if(count LESS 3)
  message(FATAL_ERROR "expected at least three objects of instruction sets, got: ${objects}")
endif()
foreach(object IN LISTS objects)
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[0-9a-f]+ [WVu] [^\n]*" shared "${symbols}")
  list(FILTER shared EXCLUDE REGEX " edgewise::kIq4NlValues$")
  if(shared)
    list(JOIN shared "\n  " shared)
    message(FATAL_ERROR "${object} defines shared symbols:\n  ${shared}")
  endif()
endforeach()
