//! Does the gateway fail closed, and recover alone, whatever happens to its disk?

mod descriptors;
mod disk;
mod pipe;
mod scene;
mod segment;
mod slow;
