// Kith's version, for tags of images and for whoever asks. Law: the one of package.json; a test holds them together.
export const version = '0.1.0'
