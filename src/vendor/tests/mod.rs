//! What holds for whole bodies, however damaged or hostile.

mod damage;
mod hostile;
mod properties;
