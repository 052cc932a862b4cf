/// One import for the whole library.
@_exported import OctetCore
@_exported import OctetEngine
@_exported import OctetFormats
@_exported import OctetGraph
@_exported import OctetInspect
@_exported import OctetNN
@_exported import OctetQuantization
@_exported import OctetTraining
