//! Tests of whole bodies that are damaged or hostile.

mod damage;
mod hostile;
mod properties;
