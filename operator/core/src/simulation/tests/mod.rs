mod campaign;
mod crash;
mod planted;
